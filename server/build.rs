//! Compiles the server again when the console has been built again. Building the console is not cargo's business.

fn main() {
    use std::io::Write as _;
    // A failure to write is one of the pipe to cargo, which then has other worries.
    let _written = writeln!(std::io::stdout(), "cargo:rerun-if-changed=web/dist");
}
