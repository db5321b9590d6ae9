"""What vectors are measured and moved with: arithmetic of directions, estimates with their intervals."""
