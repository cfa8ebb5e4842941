//! What the process takes of the system: memory and open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sets both; to be called before there are threads.
pub fn prepare() {
    limit_arenas();
    raise_file_limit();
}

/// Files that may be open at once, sockets included.
pub fn max_open_files() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX)
}

/// Connections of clients that a server keeps open: not so many that nothing is left for what it does for them.
pub fn max_client_connections() -> usize {
    (max_open_files() / 16).clamp(16, 4096)
}

/// Up to what the system allows: shells and services start with 1024, and each check takes a socket.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What it does not allow stays; `max_open_files` says what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// As many arenas as there are processors, instead of eight times as many: each keeps what was freed in it. (Other C libraries have no arenas.)
fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        #[expect(unsafe_code, reason = "an option of the C library's allocator, which has no safe name")]
        // SAFETY: it changes a number, and no other thread is there to read it.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, processors.try_into().unwrap_or(libc::c_int::MAX));
        }
    }
}
