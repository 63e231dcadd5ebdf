//! The network itself, behind a trait of three methods: which engine runs it is known to one file.

mod rten;

pub use self::rten::Rten;

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// As many numbers as the lengths multiplied, the last dimension fastest.
    pub data: Vec<f32>,
}

/// Why a network could not be loaded or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The file is no network that the engine reads.
    #[error("the engine cannot read it: {0}")]
    Unreadable(String),
    /// It wants something other than one picture.
    #[error("it has {0} inputs, and is given one picture")]
    Inputs(usize),
    /// Its input has another shape.
    #[error("its input is {0}, and pictures come as [1, 3, height, width]")]
    InputShape(String),
    /// It failed while it ran.
    #[error("the engine cannot run it: {0}")]
    Failed(String),
    /// Its outputs are no floating-point numbers.
    #[error("output {0} is no array of numbers with a point")]
    OutputType(usize),
}

/// A network that turns a picture into numbers.
pub trait Network: Send {
    /// Takes the bytes of an ONNX file.
    ///
    /// # Errors
    /// [`NetworkError`] where the engine cannot use it for pictures.
    fn load(onnx: Vec<u8>) -> Result<Self, NetworkError>
    where
        Self: Sized;

    /// Width and height of the input in pixels, each where the file fixes it.
    fn input_size(&self) -> (Option<usize>, Option<usize>);

    /// Runs it on one picture: three planes of `height` rows of `width` numbers.
    ///
    /// # Errors
    /// [`NetworkError`] where the engine fails.
    fn run(
        &mut self,
        input: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Result<Vec<Tensor>, NetworkError>;
}
