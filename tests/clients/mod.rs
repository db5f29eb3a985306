//! Real clients pull through entrepot from a real registry, which is then stopped.

mod alone;
pub mod stage;
mod together;
mod upstream;
