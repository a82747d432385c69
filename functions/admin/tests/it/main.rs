//! The admin API on the embedded stores.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod world;
