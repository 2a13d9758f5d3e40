//! Parses the command line and hands over to the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// An order is a hundred small texts, which this allocator hands out and takes back at half the cost of the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    aqua_orders::cli::main()
}
