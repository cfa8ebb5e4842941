//! The prober.
