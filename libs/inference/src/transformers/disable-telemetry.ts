/**
 * Official builds of onnxruntime since 1.29 report their use to Microsoft unless this is set before the library starts
 * (https://github.com/microsoft/onnxruntime/pull/27379). A node reports to nobody.
 */
// eslint-disable-next-line no-restricted-properties -- the library offers no other switch
process.env.ORT_DISABLE_TELEMETRY = '1';
