//! The server as a client meets it: over sockets of loopback, with routes of its own.

mod access;
mod attacks;
mod certificate;
mod end;
mod keys_file;
mod kit;
mod limits;
mod slow;
mod telling;
mod tls;
