"""The Application Auto Scaling API: what is to be scaled, kept as control documents. The scaler runs elsewhere."""
