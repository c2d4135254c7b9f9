//! Copies `migrations/*.sql` to OUT_DIR, from where maturin puts them into the wheel as `ordergate/migrations/`.
//! The files lie above the Python source root, and neither a symlink nor a plain include would land in the package.
use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let source = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../migrations");
    let target = Path::new(&env::var("OUT_DIR")?).join("migrations");
    if target.exists() {
        fs::remove_dir_all(&target)?; // a renamed migration must not live on in the next wheel
    }
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(&source)? {
        let path = entry?.path();
        if let (Some("sql"), Some(name)) = (path.extension().and_then(|e| e.to_str()), path.file_name()) {
            fs::copy(&path, target.join(name))?;
        }
    }
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
