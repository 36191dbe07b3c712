//! The server as a client meets it: over sockets of loopback, with routes of its own. And what hot parts of it cost.

mod access;
mod attacks;
mod certificate;
mod end;
mod instructions;
mod keys_file;
mod kit;
mod limits;
mod slow;
mod telling;
mod tls;
