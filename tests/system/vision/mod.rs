//! Cameras: from pictures to tickets.

mod reference;
mod street;
