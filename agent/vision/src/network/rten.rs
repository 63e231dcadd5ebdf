//! `rten`: an engine in Rust alone, which loads in milliseconds.
//!
//! It runs on one thread, whatever the machine has: the others belong to the readings. Its results on
//! dynamically quantised weights are not those of other engines, which is why such models are taken only
//! with a check (see [`crate::model`]).

use std::sync::Arc;

use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::prelude::*;

use super::{Network, NetworkError, Tensor};

/// A network loaded by `rten`.
#[derive(Debug)]
pub struct Rten {
    model: Model,
    input: NodeId,
    outputs: Vec<NodeId>,
    size: (Option<usize>, Option<usize>),
    threads: Arc<ThreadPool>,
}

impl Network for Rten {
    fn load(onnx: Vec<u8>) -> Result<Rten, NetworkError> {
        let model = Model::load(onnx).map_err(|e| NetworkError::Unreadable(e.to_string()))?;
        let [input] = *model.input_ids() else {
            return Err(NetworkError::Inputs(model.input_ids().len()));
        };
        let size = match model.input_shape(0).as_deref() {
            None => (None, None),
            Some([batch, channels, height, width]) if fits(batch, 1) && fits(channels, 3) => {
                (fixed(width), fixed(height))
            }
            Some(other) => return Err(NetworkError::InputShape(format!("{other:?}"))),
        };
        let outputs = model.output_ids().to_vec();
        let threads = Arc::new(ThreadPool::with_num_threads(1));
        Ok(Rten { model, input, outputs, size, threads })
    }

    fn input_size(&self) -> (Option<usize>, Option<usize>) {
        self.size
    }

    fn run(
        &mut self,
        input: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Result<Vec<Tensor>, NetworkError> {
        let failed = |text: String| NetworkError::Failed(text);
        let input =
            Value::from_shape([1, 3, height, width], input).map_err(|e| failed(e.to_string()))?;
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::clone(&self.threads));
        let inputs = vec![(self.input, input.into())];
        let outputs = self.model.run(inputs, &self.outputs, Some(options));
        let outputs = outputs.map_err(|e| failed(e.to_string()))?;
        outputs.into_iter().enumerate().map(|(n, value)| tensor(n, value)).collect()
    }
}

fn fixed(dimension: &Dimension) -> Option<usize> {
    match dimension {
        Dimension::Fixed(length) => Some(*length),
        Dimension::Symbolic(_) => None,
    }
}

fn fits(dimension: &Dimension, wanted: usize) -> bool {
    fixed(dimension).is_none_or(|length| length == wanted)
}

fn tensor(number: usize, value: Value) -> Result<Tensor, NetworkError> {
    let Value::FloatTensor(tensor) = value else { return Err(NetworkError::OutputType(number)) };
    Ok(Tensor { shape: tensor.shape().to_vec(), data: tensor.to_vec() })
}
