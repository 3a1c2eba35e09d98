//! What a live run is asked to do.

use std::sync::Arc;

use crate::config::Plan;
use crate::config::live::LivePlan;
use crate::model::Error;
use crate::sinks::Tell;

/// Builds the plan again, from the same options and the current configuration file.
pub type Replan = Arc<dyn Fn() -> Result<Plan, Vec<Error>> + Send + Sync>;

/// A live run.
#[derive(Clone)]
pub struct LiveRun {
    /// What to do.
    pub live: LivePlan,
    /// Called to reload the configuration.
    pub replan: Replan,
    /// Called with messages.
    pub tell: Tell,
}
