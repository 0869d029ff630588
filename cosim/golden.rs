// SPDX-License-Identifier: Apache-2.0
//! The model's side of a lockstep run, and the comparison: on the caller's thread, or on one of its own beside the RTL.
//!
//! Beside the RTL pays in long runs on a machine with a core to spare: while the RTL works on a clock, the model
//! works on the one before, and a difference is reported a few clocks after it happened, with the images of its own
//! clock. Property tests, of which several run at once, keep the model inline.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use tandem_model::block::Block;
use tandem_model::image::{self, FlipError};
use tandem_wave::State;

use crate::replay::Upset;

/// How often to look for a message before going to sleep: waking up costs more than a clock takes.
const PATIENCE: u32 = 20_000;
/// Looks between two offers of the core to somebody else: on a busy machine the other side may be waiting for it.
const POLITENESS: u32 = 500;
/// Clocks that the RTL may be ahead of the model: enough that a side which lost its core does not stop the other.
const AHEAD: usize = 32;

/// Frames in flight before replies are looked for.
const BATCH: usize = 4;

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

/// One clock as the RTL did it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub cycle: u64,
    pub rst_ni: bool,
    pub inputs: Vec<u8>,
    pub rtl: Images,
}

/// A clock that the two did differently.
#[derive(Debug)]
pub(crate) struct Divergence {
    pub cycle: u64,
    pub rtl: Images,
    pub golden: Images,
}

/// Memories: contents, and 0xFF where an entry has been written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memories {
    pub image: Vec<u8>,
    pub written: Vec<u8>,
}

/// A model behind flat images, whatever its block: all that lockstep needs of it.
trait Model: Send {
    /// One clock; fills in the images.
    fn clock(&mut self, rst_ni: bool, inputs: &[u8]);
    /// Images of the last clock.
    fn images(&self) -> &Images;
    fn memories(&mut self) -> Memories;
    fn upset(&mut self, upset: &Upset) -> Result<(), FlipError>;
    /// Keeps the state to go back to.
    fn snapshot(&mut self);
    /// Back to the snapshot. False when there is none.
    fn rewind(&mut self) -> bool;
    /// See [`Block::depth`].
    fn depth(&self, path: &str) -> Option<u64>;
}

/// A block with the state to go back to.
struct Side<B: Block> {
    model: B,
    inputs: B::Inputs,
    images: Images,
    snapshot: Option<B>,
}

impl<B: Block> Model for Side<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &[u8]) {
        if rst_ni {
            image::unpack(inputs, &mut self.inputs);
            self.model.clock(&self.inputs);
        } else {
            self.model.reset();
        }
        image::pack(&mut self.model, &mut self.images.registers);
        image::pack(&mut self.model.outputs(), &mut self.images.outputs);
    }

    fn images(&self) -> &Images {
        &self.images
    }

    fn memories(&mut self) -> Memories {
        let mut memories = Memories::default();
        image::pack_memories(&mut self.model, &mut memories.image, &mut memories.written);
        memories
    }

    fn upset(&mut self, upset: &Upset) -> Result<(), FlipError> {
        image::flip(&mut self.model, &upset.memory, upset.entry, upset.bit)
    }

    fn snapshot(&mut self) {
        self.snapshot = Some(self.model.clone());
    }

    fn rewind(&mut self) -> bool {
        let found = self.snapshot.take();
        found.map(|model| self.model = model).is_some()
    }

    fn depth(&self, path: &str) -> Option<u64> {
        self.model.depth(path)
    }
}

/// Two flat comparisons; names are looked up only when one fails.
fn check(model: &mut dyn Model, frame: &Frame) -> Option<Box<Divergence>> {
    model.clock(frame.rst_ni, &frame.inputs);
    let images = model.images();
    let equal = frame.rtl.registers == images.registers && frame.rtl.outputs == images.outputs;
    let differs = || Divergence { cycle: frame.cycle, rtl: frame.rtl.clone(), golden: images.clone() };
    (!equal).then(|| Box::new(differs()))
}

enum Request {
    Check(Frame),
    Snapshot,
    Memories,
    Upset(Upset),
}

enum Reply {
    /// Equal; the buffers come back.
    Equal(Frame),
    Differs(Box<Divergence>),
    Memories(Memories),
    Upset(Result<(), FlipError>),
}

struct Worker {
    requests: Sender<Request>,
    replies: Receiver<Reply>,
    thread: JoinHandle<Box<dyn Model>>,
    in_flight: usize,
}

/// The model, wherever it runs.
pub(crate) struct Golden {
    /// `None` while the worker has it.
    model: Option<Box<dyn Model>>,
    worker: Option<Worker>,
    spare: Vec<Frame>,
}

/// Receives with patience; `None` when the other side is gone.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    for look in 1..PATIENCE {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if look % POLITENESS == 0 => std::thread::yield_now(),
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    from.recv().ok()
}

/// Ends with the first difference, or when nobody asks any more.
fn work(mut model: Box<dyn Model>, requests: &Receiver<Request>, replies: &Sender<Reply>) -> Box<dyn Model> {
    while let Some(request) = receive(requests) {
        let reply = match request {
            Request::Check(frame) => match check(&mut *model, &frame) {
                None => Reply::Equal(frame),
                Some(divergence) => {
                    let _ = replies.send(Reply::Differs(divergence));
                    break;
                }
            },
            Request::Snapshot => {
                model.snapshot();
                continue;
            }
            Request::Memories => Reply::Memories(model.memories()),
            Request::Upset(upset) => Reply::Upset(model.upset(&upset)),
        };
        if replies.send(reply).is_err() {
            break;
        }
    }
    model
}

impl Golden {
    pub fn new<B: Block>(model: B) -> Self {
        let inputs = model.idle_inputs();
        let side = Side { model, inputs, images: Images::default(), snapshot: None };
        Self { model: Some(Box::new(side)), worker: None, spare: Vec::new() }
    }

    /// The model on a thread of its own from now on.
    pub fn detach(&mut self) {
        if let Some(model) = self.model.take() {
            let (requests, inbox) = channel();
            let (outbox, replies) = channel();
            let builder = std::thread::Builder::new().name("golden model".to_owned());
            let thread =
                builder.spawn(move || work(model, &inbox, &outbox)).expect("the system gives a thread");
            self.worker = Some(Worker { requests, replies, thread, in_flight: 0 });
        }
    }

    /// The model, back on this thread. A panic of the model (a broken invariant) goes on here.
    fn attach(&mut self) -> &mut dyn Model {
        if let Some(Worker { requests, thread, .. }) = self.worker.take() {
            drop(requests);
            let model = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.model = Some(model);
        }
        &mut **self.model.as_mut().expect("the model is here or with the worker")
    }

    /// The model inline from now on. Every frame must have been settled.
    pub fn inline(&mut self) {
        self.attach();
    }

    /// A frame to fill, with the buffers of an old one.
    pub fn frame(&mut self) -> Frame {
        self.spare.pop().unwrap_or_default()
    }

    /// Clocks the model as the frame says and compares. With a worker, the answer may come with a later call.
    pub fn submit(&mut self, frame: Frame) -> Option<Box<Divergence>> {
        if let Some(model) = &mut self.model {
            let found = check(&mut **model, &frame);
            self.spare.push(frame);
            return found;
        }
        if let Some(worker) = &mut self.worker {
            worker.in_flight += 1;
            // A worker that is gone is found out when its replies are read.
            let _ = worker.requests.send(Request::Check(frame));
            // Looking costs time too; a few frames at once come cheaper.
            if worker.in_flight < BATCH {
                return None;
            }
        }
        self.collect(AHEAD)
    }

    /// Waits until every frame has been compared.
    pub fn settle(&mut self) -> Option<Box<Divergence>> {
        self.collect(0)
    }

    /// Reads replies until at most `ahead` frames are in flight.
    fn collect(&mut self, ahead: usize) -> Option<Box<Divergence>> {
        while let Some(worker) = &mut self.worker {
            let reply = if worker.in_flight > ahead {
                receive(&worker.replies)
            } else {
                worker.replies.try_recv().ok()
            };
            match reply {
                Some(Reply::Equal(frame)) => {
                    worker.in_flight -= 1;
                    self.spare.push(frame);
                }
                Some(Reply::Differs(divergence)) => {
                    self.attach();
                    return Some(divergence);
                }
                Some(Reply::Memories(_) | Reply::Upset(_)) => {}
                None if worker.in_flight > ahead => {
                    // The worker is gone without an answer: it panicked, and so do we.
                    self.attach();
                }
                None => break,
            }
        }
        None
    }

    /// The model's images of the last clock, while it is inline.
    pub fn images(&self) -> Option<&Images> {
        self.model.as_ref().map(|model| model.images())
    }

    /// Clocks the model inline, without a comparison.
    pub fn replay(&mut self, rst_ni: bool, inputs: &[u8]) {
        self.attach().clock(rst_ni, inputs);
    }

    /// Keeps the state to go back to. Every frame must have been settled.
    pub fn snapshot(&mut self) {
        match (&self.worker, &mut self.model) {
            (Some(worker), _) => {
                let _ = worker.requests.send(Request::Snapshot);
            }
            (None, Some(model)) => model.snapshot(),
            (None, None) => {}
        }
    }

    /// Contents of the memories. Every frame must have been settled.
    pub fn memories(&mut self) -> Memories {
        if let Some(worker) = &self.worker {
            let _ = worker.requests.send(Request::Memories);
            if let Some(Reply::Memories(memories)) = receive(&worker.replies) {
                return memories;
            }
        }
        self.attach().memories()
    }

    /// Flips a bit of a memory. Every frame must have been settled.
    pub fn upset(&mut self, upset: &Upset) -> Result<(), FlipError> {
        if let Some(worker) = &self.worker {
            let _ = worker.requests.send(Request::Upset(upset.clone()));
            if let Some(Reply::Upset(done)) = receive(&worker.replies) {
                return done;
            }
        }
        self.attach().upset(upset)
    }

    /// Back to the snapshot, on this thread. False when there is none.
    pub fn rewind(&mut self) -> bool {
        self.attach().rewind()
    }

    /// See [`Block::depth`].
    pub fn depth(&mut self, path: &str) -> Option<u64> {
        self.attach().depth(path)
    }
}
