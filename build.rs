//! Lists the cases of the rules, so that they are part of the program.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("rules/cases");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut paths = Vec::new();
    for folder in fs::read_dir(&root)? {
        let folder = folder?.path();
        println!("cargo::rerun-if-changed={}", folder.display());
        for case in fs::read_dir(&folder)? {
            paths.push(case?.path());
        }
    }
    paths.sort();
    let mut list = String::from(
        "/// Path below `rules/` and text of each case.\nconst CASES: &[(&str, &str)] = &[\n",
    );
    for path in paths {
        let below = Path::new("cases").join(path.strip_prefix(&root)?);
        writeln!(list, "    ({:?}, include_str!({:?})),", below, path)?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("cases.rs"), list)?;
    Ok(())
}
