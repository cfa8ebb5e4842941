//! The lifetime of the engine's tasks: `stop` lets them finish, `kill` ends them at once.

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
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // After a kill, a task that is ready must not continue.
                biased;
                () = kill.cancelled() => {}
                () = task => {}
            }
        });
    }

    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Signals the tasks to stop and waits for them. False: they did not end within the grace period.
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
