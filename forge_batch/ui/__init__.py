"""The queue page: what its handlers read, how it is written as HTML, and its layout. Only `page` and `tabs` know Gradio."""
