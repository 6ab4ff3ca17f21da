"""What an editor is told while SQL is written: findings and their remedies, over the Language Server Protocol."""
