//! Real clients: they pull through entrepot from a real registry, which is then stopped, and they push.

mod alone;
mod charts;
mod limited;
mod push;
mod quota;
mod sign;
pub mod stage;
mod together;
mod tools;
mod upstream;
