"""What a person looks at: workbook, page, pictures."""
