//! SQL statements, each registered at its definition: a test prepares all of them on both databases.

/// Every statement of the program.
#[linkme::distributed_slice]
pub static STATEMENTS: [Statement];

#[derive(Debug)]
pub struct Statement {
    /// If it contains `SQLITE` or `POSTGRES`, the statement is only for that database.
    pub name: &'static str,
    pub text: &'static str,
    pub file: &'static str,
    pub line: u32,
}

/// `sql!(NAME = "SELECT ...");`: a constant.
#[macro_export]
macro_rules! sql {
    ($visibility:vis $name:ident = $text:expr) => {
        $visibility const $name: &str = $text;
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::sql::STATEMENTS)]
            #[linkme(crate = $crate::linkme)]
            static STATEMENT: $crate::sql::Statement = $crate::sql::Statement {
                name: stringify!($name),
                text: $text,
                file: file!(),
                line: line!(),
            };
        };
    };
}
