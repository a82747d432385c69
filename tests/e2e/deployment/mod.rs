//! `template.yaml` against the code that it deploys: routes, settings, queues, alarms, and what each function may do.

mod policies;
mod queues;
mod routes;
mod settings;
mod template;
