//! The admin API on the embedded stores.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod api;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod refusals;
