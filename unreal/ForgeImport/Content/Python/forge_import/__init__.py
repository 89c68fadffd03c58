"""Import packages of forge-batch into Unreal Engine 5. Packages hold data alone; nothing out of a zip is ever run."""
