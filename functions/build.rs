//! Generates the catalogue of texts as Rust, and compresses the assets of pages. Each asset's name
//! contains its hash, so that browsers may cache it permanently.

use std::{
    env, fs,
    io::{Cursor, Read},
    path::Path,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Our own assets, in `web/assets/`.
const OWN: [&str; 6] = ["app.js", "docs.js", "favicon.ico", "favicon.svg", "favicon-down.svg", "style.css"];
/// Assets of Swagger UI.
const SWAGGER_UI: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<()> {
    let out = env::var("OUT_DIR")?;
    println!("cargo::rerun-if-changed=web/assets");
    println!("cargo::rerun-if-changed=../docs/public-spec.yaml");
    println!("cargo::rerun-if-changed=build.rs");
    words::generate("words", Path::new(&out).join("words.rs"))?;
    let mut assets = Vec::new();
    for name in OWN {
        assets.push((name, fs::read(Path::new("web/assets").join(name)).context(name)?));
    }
    // Requests go to the host that served the page.
    let spec = fs::read_to_string("../docs/public-spec.yaml").context("the specification")?;
    let spec = spec.replacen("url: http://localhost:8000\n", "url: /\n", 1);
    assets.push(("openapi.yaml", spec.into_bytes()));
    let zip = Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED);
    let mut zip = zip::ZipArchive::new(zip).context("Swagger UI's archive")?;
    for name in SWAGGER_UI {
        let mut file = Vec::new();
        let end = format!("/dist/{name}");
        let paths: Vec<String> = zip.file_names().flatten().map(|path| path.into_owned()).collect();
        let path = paths.iter().find(|path| path.ends_with(&end)).context(name)?;
        zip.by_name(path)?.read_to_end(&mut file)?;
        assets.push((name, file));
    }
    let mut table = format!("static ASSETS: [Asset; {}] = [", assets.len());
    for (name, content) in assets {
        let hash: String =
            Sha256::digest(&content).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let (stem, extension) = name.rsplit_once('.').context("an asset without an extension")?;
        let mut packed = Vec::new();
        // Quality 9, not 11, which takes ten times as long for one percent.
        let params = brotli::enc::BrotliEncoderParams { quality: 9, ..Default::default() };
        brotli::BrotliCompress(&mut Cursor::new(content), &mut packed, &params)?;
        let file = Path::new(&out).join(format!("{name}.br"));
        fs::write(&file, packed)?;
        table += &format!(
            "Asset {{ name: {name:?}, path: \"/assets/{stem}.{hash}.{extension}\", brotli: include_bytes!({file:?}), unpacked: OnceLock::new() }},"
        );
    }
    Ok(fs::write(Path::new(&out).join("assets.rs"), table + "];")?)
}
