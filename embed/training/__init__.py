"""Small encoders made from large ones. Only the commands that train import what lies here."""
