//! How the engine's tasks end: told to stop, they finish what they do; dropped, they end at once.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Clone, Debug, Default)]
pub struct Life {
    stop: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.kill.clone().run_until_cancelled_owned(task));
    }

    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Tells the tasks to stop, and waits for them. False: they did not within the grace.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }

    pub fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}
