//! Generates the client from the committed description.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use progenitor_impl::{GenerationSettings, Generator, InterfaceStyle};

const DESCRIPTION: &str = "../../openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    let description = serde_json::from_str(&fs::read_to_string(DESCRIPTION)?)?;
    let mut settings = GenerationSettings::new();
    settings.with_interface(InterfaceStyle::Builder);
    let client = Generator::new(&settings).generate_tokens(&description)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("pika.rs"), client.to_string())?;
    writeln!(std::io::stdout(), "cargo::rerun-if-changed={DESCRIPTION}")?;
    Ok(())
}
