//! Silent AAC-LC, 48 kHz stereo: one frame, for ever the same.

/// A `raw_data_block` (ISO/IEC 14496-3, 4.4.2.1): a channel pair without spectral data.
pub const SILENCE: [u8; 6] = [0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c];

/// AudioSpecificConfig: AAC-LC, 48 kHz, two channels.
pub const CONFIG: [u8; 2] = [0x11, 0x90];

/// Samples per second.
pub const RATE: u32 = 48_000;

/// Samples of one frame.
pub const FRAME_SAMPLES: u32 = 1_024;
