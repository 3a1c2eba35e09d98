//! Known frames: one for each header the general path knows.
