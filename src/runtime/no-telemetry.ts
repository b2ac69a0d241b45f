/**
 * ONNX Runtime reports its use to its maker over HTTPS unless this is set before the library is loaded (it also leaves
 * files in the temporary directory). Models here belong to our clients: nothing about them leaves the machine.
 */
process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
