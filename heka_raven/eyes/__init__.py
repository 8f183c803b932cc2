"""The values of a worker that hangs or dies, masked before they leave the process that read them."""
