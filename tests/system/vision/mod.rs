//! Cameras: from pictures to tickets.

mod arm64;
mod faults;
mod int8;
mod pictures;
mod reference;
mod street;
mod witnesses;
