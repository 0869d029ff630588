// SPDX-License-Identifier: Apache-2.0
//! The model's side of a lockstep run: on the caller's thread, or on one of its own beside the RTL.
//!
//! Beside the RTL pays in long runs on a machine with a core to spare: the model's clock, and writing its image, then
//! cost no time. Property tests, of which several run at once, keep it inline.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use tandem_model::block::Block;
use tandem_model::image;
use tandem_wave::State;

/// How often to look for a message before going to sleep (some hundred microseconds): waking up costs more than a
/// clock takes.
const PATIENCE: u32 = 20_000;

/// Flat images of one side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    pub registers: Vec<u8>,
    pub outputs: Vec<u8>,
}

impl Images {
    pub fn state(&self) -> State<'_> {
        State { outputs: &self.outputs, registers: &self.registers }
    }
}

/// Memories: contents, and 0xFF where an entry has been written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memories {
    pub image: Vec<u8>,
    pub written: Vec<u8>,
}

/// The model with the state to go back to.
struct Side<B: Block> {
    model: B,
    inputs: B::Inputs,
    snapshot: Option<B>,
}

impl<B: Block> Side<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &[u8], images: &mut Images) {
        if rst_ni {
            image::unpack(inputs, &mut self.inputs);
            self.model.clock(&self.inputs);
        } else {
            self.model.reset();
        }
        image::pack(&mut self.model, &mut images.registers);
        image::pack(&mut self.model.outputs(), &mut images.outputs);
    }

    fn memories(&mut self) -> Memories {
        let mut memories = Memories::default();
        image::pack_memories(&mut self.model, &mut memories.image, &mut memories.written);
        memories
    }
}

enum Request {
    /// Reset, inputs, buffers to fill.
    Clock(bool, Vec<u8>, Images),
    Snapshot,
    Memories,
}

enum Reply {
    /// Input buffer back, images.
    Clocked(Vec<u8>, Images),
    Memories(Memories),
}

struct Worker<B: Block> {
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    thread: JoinHandle<Side<B>>,
    spare: Vec<u8>,
}

/// The model, wherever it runs.
pub(crate) struct Golden<B: Block> {
    /// `None` while the worker has it.
    side: Option<Side<B>>,
    worker: Option<Worker<B>>,
    pub images: Images,
}

/// Receives with patience; `None` when the other side is gone.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    for _ in 0..PATIENCE {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    from.recv().ok()
}

fn work<B: Block>(mut side: Side<B>, requests: &Receiver<Request>, replies: &Sender<Reply>) -> Side<B> {
    while let Some(request) = receive(requests) {
        let reply = match request {
            Request::Clock(rst_ni, inputs, mut images) => {
                side.clock(rst_ni, &inputs, &mut images);
                Reply::Clocked(inputs, images)
            }
            Request::Snapshot => {
                side.snapshot = Some(side.model.clone());
                continue;
            }
            Request::Memories => Reply::Memories(side.memories()),
        };
        if replies.send(reply).is_err() {
            break;
        }
    }
    side
}

impl<B: Block> Golden<B> {
    pub fn new(model: B) -> Self {
        let inputs = model.idle_inputs();
        Self { side: Some(Side { model, inputs, snapshot: None }), worker: None, images: Images::default() }
    }

    /// The model on a thread of its own from now on.
    pub fn detach(&mut self)
    where
        B: Send + 'static,
        B::Inputs: Send,
    {
        if let Some(side) = self.side.take() {
            let (requests, inbox) = channel();
            let (outbox, replies) = channel();
            let thread = std::thread::spawn(move || work(side, &inbox, &outbox));
            self.worker = Some(Worker { requests, replies, thread, spare: Vec::new() });
        }
    }

    /// The model, back on this thread.
    fn attach(&mut self) -> &mut Side<B> {
        if let Some(Worker { requests, thread, .. }) = self.worker.take() {
            drop(requests);
            let side = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.side = Some(side);
        }
        self.side.as_mut().expect("the model is here or with the worker")
    }

    /// Starts a clock. Every start is followed by one [`Golden::wait`].
    pub fn start(&mut self, rst_ni: bool, inputs: &[u8]) {
        match &mut self.worker {
            Some(worker) => {
                let mut buffer = std::mem::take(&mut worker.spare);
                buffer.clear();
                buffer.extend_from_slice(inputs);
                let request = Request::Clock(rst_ni, buffer, std::mem::take(&mut self.images));
                // A worker that panicked is found out in `wait`.
                let _ = worker.requests.send(request);
            }
            None => {
                let side = self.side.as_mut().expect("without a worker the model is here");
                side.clock(rst_ni, inputs, &mut self.images);
            }
        }
    }

    /// Waits until the clock's images are there.
    pub fn wait(&mut self) {
        let Some(worker) = &mut self.worker else { return };
        match receive(&worker.replies) {
            Some(Reply::Clocked(spare, images)) => {
                worker.spare = spare;
                self.images = images;
            }
            // The model panicked (a broken invariant): pass its panic on.
            Some(Reply::Memories(_)) | None => {
                self.attach();
            }
        }
    }

    /// Keeps the state to go back to.
    pub fn snapshot(&mut self) {
        match (&self.worker, &mut self.side) {
            (Some(worker), _) => {
                let _ = worker.requests.send(Request::Snapshot);
            }
            (None, Some(side)) => side.snapshot = Some(side.model.clone()),
            (None, None) => {}
        }
    }

    /// Contents of the memories.
    pub fn memories(&mut self) -> Memories {
        if let Some(worker) = &self.worker {
            let _ = worker.requests.send(Request::Memories);
            if let Some(Reply::Memories(memories)) = receive(&worker.replies) {
                return memories;
            }
        }
        self.attach().memories()
    }

    /// Back to the snapshot, on this thread. False when there is none.
    pub fn rewind(&mut self) -> bool {
        let side = self.attach();
        let found = side.snapshot.take();
        found.map(|model| side.model = model).is_some()
    }

    /// See [`Block::depth`].
    pub fn depth(&mut self, path: &str) -> Option<u64> {
        self.attach().model.depth(path)
    }
}
