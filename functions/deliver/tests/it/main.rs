//! Deliveries: the real worker, real receivers on loopback, the embedded stores and a clock that is moved by hand.

#[cfg(test)]
mod races;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod stage;
