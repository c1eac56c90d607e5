// SPDX-License-Identifier: Apache-2.0
//
// Classify with a library made by `mnc export`, from Rust; no crate is needed.
//
//     mnc export build/host/mobilenet_v1_1.0_224 --out exported
//     rustc -O classify.rs -L exported -l static=mnc -l m -l pthread
//     ./classify input.f32
//
// input.f32 holds the network's input as floats; exported/mnc.h says how pixels become them.

use std::ffi::{c_char, c_int, CStr};

#[repr(C)]
struct Instance {
    _private: [u8; 0],
}

extern "C" {
    fn mnc_create(threads: c_int) -> *mut Instance;
    fn mnc_run(instance: *mut Instance, input: *const f32, output: *mut f32) -> c_int;
    fn mnc_destroy(instance: *mut Instance);
    fn mnc_last_error() -> *const c_char;
    fn mnc_input_count() -> c_int;
    fn mnc_input_size(index: c_int) -> usize;
    fn mnc_output_count() -> c_int;
    fn mnc_output_size(index: c_int) -> usize;
    fn mnc_label(index: c_int) -> *const c_char;
}

/// Copies a string of the library; None for NULL.
fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: the library gives NULL or a string that ends with a zero byte and stays.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

fn last_error() -> String {
    // SAFETY: takes nothing; the text is copied before the next call can change it.
    text(unsafe { mnc_last_error() }).unwrap_or_default()
}

/// A network that is ready to run.
pub struct Network {
    instance: *mut Instance,
    inputs: usize,
    outputs: Vec<usize>,
}

// SAFETY: the library lets only one call at a time run in an instance; others wait.
unsafe impl Send for Network {}
unsafe impl Sync for Network {}

impl Network {
    /// With that many threads; 0 lets the library choose.
    pub fn new(threads: i32) -> Result<Self, String> {
        // SAFETY: any number may be asked for; NULL says that it cannot be had.
        let instance = unsafe { mnc_create(threads) };
        if instance.is_null() {
            return Err(last_error());
        }
        // SAFETY: every index below the count is valid, and any other gives 0.
        let (inputs, outputs) = unsafe {
            (
                (0..mnc_input_count()).map(|i| mnc_input_size(i)).sum(),
                (0..mnc_output_count()).map(|i| mnc_output_size(i)).collect(),
            )
        };
        Ok(Self { instance, inputs, outputs })
    }

    /// The outputs for one input.
    pub fn run(&self, input: &[f32]) -> Result<Vec<Vec<f32>>, String> {
        if input.len() != self.inputs {
            return Err(format!("{} floats are wanted, not {}", self.inputs, input.len()));
        }
        let mut flat = vec![0.0; self.outputs.iter().sum()];
        // SAFETY: both buffers have the sizes that the library reads and writes.
        if unsafe { mnc_run(self.instance, input.as_ptr(), flat.as_mut_ptr()) } != 0 {
            return Err(last_error());
        }
        let mut rest = flat.as_slice();
        Ok(self
            .outputs
            .iter()
            .map(|&size| {
                let (one, others) = rest.split_at(size);
                rest = others;
                one.to_vec()
            })
            .collect())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // SAFETY: nobody can run what is being dropped.
        unsafe { mnc_destroy(self.instance) }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: classify FILE-OF-FLOATS")?;
    let network = Network::new(0)?;
    let bytes = std::fs::read(path)?;
    let floats = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let input: Vec<f32> = floats.take(network.inputs).collect();
    let logits = network.run(&input)?.swap_remove(0);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    for &best in order.iter().take(5) {
        // SAFETY: NULL is given for a class without a name.
        let label = text(unsafe { mnc_label(best as c_int) }).unwrap_or_default();
        println!("{best} {:.4} {label}", logits[best]);
    }
    Ok(())
}
