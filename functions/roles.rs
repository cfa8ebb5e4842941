//! PostgreSQL roles: the functions of each resource log in as a role of their own, so that a compromised
//! function cannot read another resource's rows.

use anyhow::Context as _;
use percent_encoding::percent_decode_str;
use runtime::{Env, Function, db::SESSION_TIMEOUTS, sql};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::{dead_letter, endpoints, notifications, reports, status_pages, users};

#[derive(Debug)]
pub struct Role {
    pub name: &'static str,
    /// The service whose functions use this role.
    pub service: &'static str,
    /// `LIKE` patterns of its table names.
    pub tables: &'static [&'static str],
}

pub static ROLES: &[Role] = &[
    Role { name: "users", service: users::SERVICE, tables: &["user%", "password_resets"] },
    Role { name: "endpoints", service: endpoints::SERVICE, tables: &["endpoint%"] },
    Role { name: "reports", service: reports::SERVICE, tables: &["report%"] },
    Role { name: "notifications", service: notifications::SERVICE, tables: &["notification%", "deliveries"] },
    Role { name: "status_pages", service: status_pages::SERVICE, tables: &["status%"] },
    Role { name: "dead_letters", service: dead_letter::SERVICE, tables: &["dead_letter%"] },
];

impl Role {
    /// The role that a function uses; `None` if it needs no database.
    pub fn of(function: &Function) -> Option<&'static Self> {
        ROLES.iter().find(|role| function.uses_database && role.service == function.service)
    }

    /// The setting with the role's URL, for `function migrate`; its functions get that URL.
    pub fn setting(&self) -> String {
        format!("DATABASE_URL_{}", self.name.to_uppercase())
    }
}

/// Creates or updates the roles whose URLs are set, with the passwords in them, and grants them their
/// tables. Safe to run twice and concurrently.
pub async fn grant(pool: &PgPool, env: &Env) -> anyhow::Result<()> {
    const LOCK: i64 = 0x706f_6e67_726f_6c65;
    let mut db = pool.begin().await?;
    // Another migration may hold the locks for a long time.
    sqlx::raw_sql("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").execute(&mut *db).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *db).await?;
    for role in ROLES {
        let setting = role.setting();
        if let Some(url) = env.get(&setting) {
            // The error may contain the password: it is not passed on.
            let url = url::Url::parse(url).ok().with_context(|| format!("{setting} is invalid"))?;
            let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
            let (login, password) = (text(url.username()), text(url.password().unwrap_or_default()));
            grant_one(&mut db, role, &login, &password).await.with_context(|| setting)?;
        }
    }
    Ok(db.commit().await?)
}

async fn grant_one(db: &mut PgConnection, role: &Role, login: &str, password: &str) -> anyhow::Result<()> {
    // PostgreSQL accepts no parameters in these statements: `format` quotes the values.
    sql!(
        POSTGRES_LOGIN = "SELECT format(CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = $1)
            THEN 'ALTER ROLE %I LOGIN PASSWORD %L' ELSE 'CREATE ROLE %I LOGIN PASSWORD %L' END, $1, $2)"
    );
    // The migrating user becomes a member, so that it can alter the tables that the role owns.
    sql!(POSTGRES_MEMBER = "SELECT format('GRANT %I TO CURRENT_USER', $1)");
    sql!(
        POSTGRES_ROWS = "SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO %I', relname, $1)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            AND NOT relispartition AND relname LIKE ANY ($2)"
    );
    // Only an owner can add and drop partitions, which happens daily.
    sql!(POSTGRES_PARTITIONED = "SELECT format('ALTER TABLE %I OWNER TO %I', relname, $1)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE ANY ($2)
            AND (relkind = 'p' OR relispartition AND relkind = 'r')
        UNION ALL SELECT DISTINCT format('GRANT CREATE ON SCHEMA public TO %I', $1)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE ANY ($2) AND relkind = 'p'");
    // Behind PgBouncer, a connection cannot pass settings: set the time-outs on the role.
    sql!(POSTGRES_TIMEOUT = "SELECT format('ALTER ROLE %I SET %I = %L', $1, $2, $3)");
    let mut statements: Vec<String> =
        sqlx::query_scalar(POSTGRES_LOGIN).bind(login).bind(password).fetch_all(&mut *db).await?;
    statements
        .extend(sqlx::query_scalar::<_, String>(POSTGRES_MEMBER).bind(login).fetch_all(&mut *db).await?);
    for (name, value) in SESSION_TIMEOUTS {
        let timeout = sqlx::query_scalar(POSTGRES_TIMEOUT).bind(login).bind(name).bind(value);
        statements.push(timeout.fetch_one(&mut *db).await?);
    }
    // CREATE first: a role must have that permission before it can own a partition.
    for what in [POSTGRES_ROWS, POSTGRES_PARTITIONED] {
        let found: Vec<String> =
            sqlx::query_scalar(what).bind(login).bind(role.tables).fetch_all(&mut *db).await?;
        statements.extend(found.into_iter().rev());
    }
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *db).await?;
    }
    Ok(())
}
