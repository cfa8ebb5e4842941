//! Links the fuzz targets with libFuzzer (Debian's package libfuzzer-19-dev, or `LIBFUZZER`) and the C++
//! library.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBFUZZER");
    if std::env::var_os("CARGO_FEATURE_RUN").is_some() {
        let library = std::env::var("LIBFUZZER");
        let library = library.unwrap_or_else(|_| "/usr/lib/llvm-19/lib/libFuzzer.a".to_owned());
        println!("cargo:rustc-link-arg={library}");
        println!("cargo:rustc-link-arg=-lstdc++");
    }
}
