"""Pure array functions, one algorithm a module. No manifest, no job, no path but what is read or written."""
