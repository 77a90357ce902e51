//! What the workspace promises about itself, checked against its own files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a check that cannot go on fails right there"
)]

use std::{fs, path::Path};

use toml::{Table, Value};

fn read(file: &str) -> Table {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..").join(file);
    fs::read_to_string(&path).unwrap().parse().unwrap()
}

fn dependencies(manifest: &Table) -> Vec<String> {
    let table = |key: &str| manifest.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
    table("dependencies").into_iter().chain(table("dev-dependencies")).map(|(name, _)| name).collect()
}

#[test]
fn cross_builds_exactly_the_targets_that_the_table_names() {
    let cross = read("Cross.toml");
    let mut images: Vec<_> = cross["target"].as_table().unwrap().keys().cloned().collect();
    let mut triples: Vec<_> =
        targets::ROWS.iter().filter_map(|row| row.rust_triple).map(str::to_owned).collect();
    images.sort();
    triples.sort();
    assert_eq!(images, triples);
}

#[test]
fn dependencies_point_one_way_and_the_product_never_links_the_lab() {
    let members = ["targets", "images", "bootstrap", "lab", "hil-tests"];
    let allowed = |name: &str| match name {
        "targets" => vec![],
        "images" | "bootstrap" | "lab" => vec!["targets"],
        _ => vec!["targets", "images", "lab"],
    };
    for member in members {
        let own = dependencies(&read(&format!("{member}/Cargo.toml")));
        let inside: Vec<_> = own.iter().map(String::as_str).filter(|name| members.contains(name)).collect();
        assert!(inside.iter().all(|name| allowed(member).contains(name)), "{member} depends on {inside:?}");
    }
}

#[test]
fn ring_is_the_only_crypto_provider_and_there_is_no_openssl() {
    let lock = read("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(names.contains(&"ring"));
    for banned in ["openssl", "openssl-sys", "native-tls", "aws-lc-sys", "aws-lc-rs"] {
        assert!(!names.contains(&banned), "{banned} is in Cargo.lock");
    }
}
