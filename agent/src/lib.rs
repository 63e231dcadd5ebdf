//! Everything of Steward that touches the world.
