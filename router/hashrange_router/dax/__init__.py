"""The DAX API: cache clusters as they are wanted, kept as control documents. Their nodes run elsewhere."""
