//! Writes the list of the presets: every file in `presets/`, in the order of its names. So a platform that is only
//! configuration is one file, and nothing else has to name it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("presets");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let lines: Vec<String> = files.iter().enumerate().map(|(index, file)| line(index, file)).collect();
    let list = format!("static SHIPPED: &[Shipped] = &[\n{}];\n", lines.concat());
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("presets.rs"), list)
}

fn line(index: usize, file: &Path) -> String {
    println!("cargo::rerun-if-changed={}", file.display());
    let kind = file.file_stem().unwrap_or_default().to_string_lossy();
    format!("    Shipped::new::<{index}>({kind:?}, include_str!({:?})),\n", file.display().to_string())
}
