"""What the command line can do: parse, call, print. One module for each kind of work; `contract` is what they share."""
