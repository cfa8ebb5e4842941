//! How the process takes memory of the system.

/// As many arenas as there are processors, instead of eight times as many: each keeps what was freed in it. To be
/// called before there are threads. (Other C libraries have no arenas.)
pub fn limit_arenas() {
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
