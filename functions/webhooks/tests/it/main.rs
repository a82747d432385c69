//! Webhook endpoints and their deliveries, through the real routes on the embedded stores.

#[cfg(test)]
mod api;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod isolation;
