//! Deliveries: the real worker, real receivers on loopback, the embedded stores and a manual clock.

#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod races;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod schedule;
