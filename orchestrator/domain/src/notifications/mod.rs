//! Notifications and questions through adapters (governance 2.6 and 7): what an agent may send, to whom, how often it is
//! delivered, what a callback comes to, and what is told of it.

mod callback;
mod content;
mod delivery;
mod interaction;
mod recipient;
mod resume;

pub use callback::{
    AdapterError, Callback, CallbackKind, Classified, Given, Handle, HandleKind, InvalidCallback,
    ReceiptStatus, classify_callback,
};
pub use content::{DecisionOption, DecisionQuestion, Notice, decision_question, notice};
pub use delivery::{
    Acknowledgement, AfterFailure, Continuation, DeliveryError, DeliveryRole, EditCapability,
    MAX_ATTEMPTS, after_failure, continuation,
};
pub use interaction::{
    Dispatched, InteractionFacts, InteractionKind, InteractionState, Received, created,
    dispatch_attempted, received, retry_scheduled, wait_resumed,
};
pub use recipient::{RecipientFacts, recipient};
pub use resume::{InteractionEnd, InteractionResume};
