//! One file per subcommand of `sluice`: its arguments, and what it prints.

pub mod node;
