//! The process's use of system resources: memory and open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sets both limits; call it before any thread is started.
pub fn prepare() {
    limit_arenas();
    raise_file_limit();
}

/// The maximum number of open files, including sockets.
pub fn max_open_files() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX)
}

/// The maximum number of open client connections: few enough to leave files for the work that they cause.
pub fn max_client_connections() -> usize {
    (max_open_files() / 16).clamp(16, 4096)
}

/// Raises the limit to the system's maximum: shells and services start with 1024, and each check needs a
/// socket.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that fails, the limit stays as it is; `max_open_files` returns the real one.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// One arena per processor instead of eight, because each arena keeps freed memory. (Other C libraries
/// have no arenas.)
fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        #[expect(unsafe_code, reason = "an option of the C library's allocator, which has no safe name")]
        // SAFETY: sets a number while no other thread exists that could read it.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, processors.try_into().unwrap_or(libc::c_int::MAX));
        }
    }
}
