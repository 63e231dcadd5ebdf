//! `steward schema`: what others need to know of the box, written from what the program itself uses.

pub mod acl;
